# % include "settings/connections/" ~ cookiecutter.db_connection ~ ".py"
