"""The command line: Typer and Rich around the client library, and `plan_cycle` for work from files."""
