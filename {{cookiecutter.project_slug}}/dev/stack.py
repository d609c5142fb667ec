# % include "dev/stack/" ~ topology(cookiecutter).servers ~ ".py"
