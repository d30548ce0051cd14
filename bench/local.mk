# What bench/ adds to the build.
EXTRA_DIST += bench/data/make-words100 bench/data/make-sample bench/data/words.js bench/data/truth.c
