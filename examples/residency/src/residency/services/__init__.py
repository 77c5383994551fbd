"""What the system does, each over one SQLAlchemy session."""
