"""The endpoints, one module a subject. Each is a thin skin: read the request, call the service, shape the
answer.
"""
