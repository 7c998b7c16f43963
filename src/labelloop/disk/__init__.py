"""Plain files done right, for every adapter that keeps some: durable writes, sets of arrays, paths below a root."""
