/*
 * faults.h: what a build with --enable-test-faults can be told to do wrong, so that the tests show that they would see
 * it.  In every other build it is a constant, and nothing of it is in the program.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>

#ifdef TEST_FAULTS
#include <stdlib.h>

/* Nothing is withdrawn from a pair, and what should go to another server is lost. */
static inline bool fault_no_redispatch(void)
{
	return getenv("LUST_TEST_NO_REDISPATCH") != NULL;
}
#else
static inline bool fault_no_redispatch(void)
{
	return false;
}
#endif

#endif
