"""A client of servers that speak KServe's protocol, over gRPC and over HTTP."""
