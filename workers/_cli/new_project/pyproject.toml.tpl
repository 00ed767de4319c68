[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "$project"
version = "0.1.0"
description = "Sagas of $project"
requires-python = ">=3.11"
dependencies = ["durable-sagas[server]>=$version"]

[project.optional-dependencies]
dev = ["mypy>=1.14", "pytest>=8.3", "pytest-asyncio>=1.0", "ruff>=0.9"]

[tool.pytest.ini_options]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
testpaths = ["tests"]

[tool.mypy]
strict = true
plugins = ["pydantic.mypy"]
files = ["$package", "tests"]
