# What tools/ adds to the build.
