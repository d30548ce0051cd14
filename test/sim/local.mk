# The simulator: the node in one thread, from one seed; see README.md.  Sanitizers know nothing of
# its threads, so it is part of builds without them.
EXTRA_DIST += test/sim/README.md
if SIMULATED
check_PROGRAMS += test/sim/vsim
endif
# Its own allocator, with the fault points, and its own threads come before those of the library.
test_sim_vsim_SOURCES = test/sim/sim.h test/sim/run.h test/sim/main.c test/sim/life.c test/sim/client.c \
    test/sim/files.c test/sim/portals.c test/sim/statement.c \
    test/sim/model.c test/sim/fault.c test/sim/disk.c test/sim/kernel.c test/sim/thread.c \
    test/sim/sched.c test/sim/world.c src/base/mem.c src/base/fault.c
test_sim_vsim_CFLAGS = $(AM_CFLAGS) $(JEMALLOC_CFLAGS) -DENABLE_FAULTS
test_sim_vsim_LDADD = $(QUERY_LIBS)

.PHONY: sim
SEEDS = 200
sim: test/sim/vsim
	@for flaw in disk locks; do \
	    ! test/sim/vsim --seeds 20 --flaw $$flaw >/dev/null 2>&1 || \
	        { echo "a flaw goes unnoticed: $$flaw"; exit 1; }; \
	done
	test/sim/vsim --seeds $(SEEDS) --twice
