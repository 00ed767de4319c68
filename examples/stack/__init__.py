"""Everything that an example needs, run together on this machine: servers, services and a worker."""
