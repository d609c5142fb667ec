# % include "sessions/" ~ cookiecutter.database ~ ".py"
