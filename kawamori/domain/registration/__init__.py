"""Registration: what a sheet asks for, what the registry becomes by it, and what is doubtful about that. Pure."""
