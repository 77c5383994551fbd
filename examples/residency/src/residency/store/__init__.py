"""Tables, engines, migrations."""
