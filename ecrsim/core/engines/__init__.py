"""The engines behind the database port (`core/db.py: Database`), each a module that is loaded when a URL names it."""
