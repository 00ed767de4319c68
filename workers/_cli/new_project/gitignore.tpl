.sagas/
.venv/
__pycache__/
*.egg-info/
dist/
