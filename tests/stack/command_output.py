"""Runs a tool of one of the servers to its end."""

import asyncio
from pathlib import Path


async def command_output(program: Path, *arguments: str | Path) -> tuple[int, str]:
    """Return its exit code and output."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()
