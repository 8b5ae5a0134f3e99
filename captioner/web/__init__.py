"""``captioner serve``: a page to drop photos on and a JSON endpoint, on Starlette and Uvicorn."""
