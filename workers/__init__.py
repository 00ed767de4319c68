"""Where sagas run: settings, connections, worker processes, embedded servers, the `sagas` command."""
