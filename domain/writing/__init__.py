"""The steps of the one writer, one per kind of row. Only domain.writer calls them, in its order of locks."""
