"""The commands, a file each: ``make`` gives the function whose arguments are the command's flags.

A command's file is loaded only when it is called, and loads only what it needs.
"""
