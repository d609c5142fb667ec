# % include "settings/databases/" ~ cookiecutter.database ~ ".py"
