# Replaces what depends on time and on the machine by "..." before results are compared.
s/^\( *Milliseconds: \)[0-9.e+-]*$/\1.../
s/ (rows \([0-9]*\), [0-9.]* ms, work [0-9]*)$/ (rows \1, ... ms, work ...)/
s/^\( *Estimated milliseconds: \)[0-9.e+-]*$/\1.../
s/^\( *Estimated selectivity: \)[0-9.e+-]*$/\1.../
s/^\( *Rows sampled: \)[0-9]*$/\1.../
s/"Estimated milliseconds": [0-9.e+-]*/"Estimated milliseconds": .../
# SHOW SHARDS, SESSIONS and CALIBRATION, unaligned and expanded: name|value
s/^\(shard\|applied\|flushed\|unflushed_rows\|unflushed_bytes\|checkpoint_lag\)|[^|]*$/\1|.../
s/^\(code_bytes\|vector_bytes\|graph_bytes\|mapped_bytes\|file_bytes\|index_file_bytes\|term\|log_first\|log_last\|log_commit\)|[^|]*$/\1|.../
s/^\(samples\|ef_for_9.\|measured\|at\)|[^|]*$/\1|.../
s/^\(id\|user\|peer\|running_ms\|output_bytes\|statements\|since\)|[^|]*$/\1|.../
# SHOW METRICS, unaligned: name|kind|unit|value|p50|p99|text
s/^\([A-Za-z_]*|\(counter\|gauge\|histogram\)|[a-z]*\)|[^|]*|[^|]*|[^|]*|/\1|...|...|...|/
# SHOW ALL, unaligned: addresses and paths.
s/^\(listen\|socket\|admin_listen\)|[^|]*|/\1|...|/
