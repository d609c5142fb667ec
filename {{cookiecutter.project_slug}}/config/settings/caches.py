# % include "settings/caches/" ~ topology(cookiecutter).cache ~ ".py"
