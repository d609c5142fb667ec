# % include "dev/" ~ cookiecutter.database ~ ".py"
