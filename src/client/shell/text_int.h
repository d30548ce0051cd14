/* Texts as a terminal shows them (text.c). */
#ifndef VECTRON_SHELL_TEXT_INT_H
#define VECTRON_SHELL_TEXT_INT_H

#include "base/base.h"
#include "client/vclient.h"

/* Columns of a terminal that UTF-8 @text takes; control characters count as they are shown. */
unsigned text_width(const char *text, size_t bytes);
/* The next character: its bytes, and its columns in *width. */
size_t text_next(const char *text, size_t bytes, unsigned *width);
/* Appends @text with control characters escaped. */
void text_escape(struct buf *out, const char *text, size_t bytes);
/* Appends a name as VQL takes it: in double quotes where it needs them. */
bool text_is_plain_name(const char *name);
void text_identifier(struct buf *out, const char *name);
/* Appends a value as tables show it: a vector shortened. */
void text_value(struct buf *out, const vc_value *value, const char *text);

#endif
