noinst_LIBRARIES += src/index/libindex.a
src_index_libindex_a_SOURCES = \
    src/index/advance.c \
    src/index/beam.c src/index/beam_int.h \
    src/index/centre.c \
    src/index/density.c \
    src/index/epoch.c \
    src/index/bits_avx2.c src/index/bits_avx512.c src/index/bits_avx512vnni.c \
    src/index/bits_neon.c src/index/bits_neondot.c src/index/bits_scalar.c \
    src/index/bits_int.h src/index/bits_avx512_int.h src/index/bits_neon_int.h src/index/bits_x86_int.h src/index/lanes_int.h src/index/levels_int.h \
    src/index/rotate_int.h \
    src/index/code.c src/index/code_bits.c src/index/code_f32.c \
    src/index/build_int.h src/index/candidate_int.h src/index/code_int.h src/index/epoch_int.h \
    src/index/graph_int.h src/index/kernel_int.h src/index/queue_int.h src/index/save_int.h \
    src/index/slots_int.h src/index/walk_int.h \
    src/index/exact.c src/index/exact_avx2.c src/index/exact_avx512.c src/index/exact_scalar.c \
    src/index/exact_int.h \
    src/index/given.c \
    src/index/hits.c src/index/hits_int.h \
    src/index/index.c src/index/index.h \
    src/index/kernel.c src/index/kernel_avx2.c src/index/kernel_avx512.c src/index/kernel_scalar.c \
    src/index/kernel_neon.c \
    src/index/link.c src/index/list_int.h src/index/lists.c \
    src/index/load.c src/index/load_check.c src/index/load_int.h \
    src/index/starts.c \
    src/index/look.c \
    src/index/parents.c \
    src/index/queue.c \
    src/index/reduction.c \
    src/index/rows.c \
    src/index/save.c \
    src/index/scratch.c \
    src/index/search.c \
    src/index/select.c \
    src/index/sift.c \
    src/index/slots.c \
    src/index/stage.c \
    src/index/trial.c \
    src/index/unlink.c \
    src/index/walk.c
INDEX_LIBS = src/index/libindex.a $(BASE_LIBS)
