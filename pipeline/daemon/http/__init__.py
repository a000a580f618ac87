"""The daemon's page for operators and programs: metrics, health, status, pictures, control."""
