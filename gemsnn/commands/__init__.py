"""The commands, a file each: ``bind`` gives the command with the values of its flags, ready to be called.

A command's file is loaded only when it is called, and loads only what it needs.
"""
