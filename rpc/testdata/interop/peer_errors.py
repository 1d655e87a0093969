"""Exceptions that both sides of the interop test know, shaped like Nova's."""


class NotThere(Exception):
    def __init__(self, message=None, **kwargs):
        self.kwargs = kwargs
        super().__init__(message)
