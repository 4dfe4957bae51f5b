/* JSON lines: whether a line is one. */
#ifndef CAT_LINES_H
#define CAT_LINES_H

#include <stddef.h>

/* NULL when the bytes are one JSON object (RFC 8259) on one line, blanks around it or not. Else why
 * they are not, for a reader: a clause whose subject is the line or a part of it, which stays as
 * long as the program does. A line break is one wherever it stands, at the end too, be it \n or \r:
 * some readers end a line at either. It takes no memory, and no text is too long for it. The byte
 * behind the text is there to be read, and a 0 or a line break. */
const char *cat_line_fault(const char *text, size_t length);

/* The newline that ends the first line of a text, if that line is good and ends so: it is found
 * while the line is checked. NULL: the line is to be looked at by itself. The byte behind the text
 * is as above. */
const char *cat_line_end(const char *text, const char *end);

#endif
