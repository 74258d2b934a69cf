from gate_fixtures import house

__all__ = ["house"]
