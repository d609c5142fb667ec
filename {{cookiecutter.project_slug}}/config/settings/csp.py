# % include "settings/csp/" ~ cookiecutter.django_version ~ ".py"
