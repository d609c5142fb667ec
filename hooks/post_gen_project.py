"""Shows what the answers mean and what to do next."""

TABLE = """\
{{ topology(cookiecutter).table }}
"""

print(f"\n{TABLE}\nNext:\n\n  cd {{ cookiecutter.project_slug }}\n  make run\n")
