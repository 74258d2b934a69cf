from gate_fixtures import dist, gate, house, workers

__all__ = ["dist", "gate", "house", "workers"]
