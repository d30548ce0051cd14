# Unit tests of src/plan: test_NAME.c, added to check_PROGRAMS and TESTS.
check_PROGRAMS += test/unit/plan/test_plan
TESTS += test/unit/plan/test_plan
test_unit_plan_test_plan_LDADD = $(PLAN_LIBS) $(CMOCKA_LIBS)
