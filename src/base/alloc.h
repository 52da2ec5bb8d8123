/*
 * alloc: allocation that does not fail.
 *
 * Sizes that come from outside are bounded before they reach these, so running out of memory means
 * that the machine is out of memory; the process then says so and aborts (a supervisor restarts it)
 * instead of running on half-built. Scripts never come here: they have their own capped allocator.
 */
#ifndef HOOKMOON_BASE_ALLOC_H
#define HOOKMOON_BASE_ALLOC_H

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *block, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
/* printf into fresh memory; the caller frees. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
