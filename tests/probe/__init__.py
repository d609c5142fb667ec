"""An app that the tests add to a rendered project: tasks that misbehave, and a ledger."""
