# % include "config/deployment/" ~ cookiecutter.deployment ~ ".py"
