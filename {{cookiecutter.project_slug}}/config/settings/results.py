# % include "settings/results/" ~ cookiecutter.result_backend ~ ".py"
