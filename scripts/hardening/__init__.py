"""What strangers, administrators' slips, proxies and other programs do to a server: tried item by item."""
