"""The wheels of the project, made with the pinned uv."""
