"""The trial of docker-compose.yml on a machine without a registry: an engine of its own, stand-in images, and the main job."""
