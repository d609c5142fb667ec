# % include "settings/broker/" ~ cookiecutter.broker ~ ".py"
