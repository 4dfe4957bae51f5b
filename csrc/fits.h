/* Whether a line of JSON surely fits a schema. No Lua here. It knows the plain part of schemas, and
 * says no wherever it is not sure: then the Lua half looks, which knows the rest and says why. */
#ifndef CAT_FITS_H
#define CAT_FITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fields that an object needs, beyond which it is not sure. */
#define CAT_FITS_NEEDED 64

typedef enum {
    CAT_FITS_ANY,
    CAT_FITS_OBJECT,
    CAT_FITS_ARRAY,
    CAT_FITS_STRING,
    CAT_FITS_NUMBER,
    CAT_FITS_INTEGER,
    CAT_FITS_BOOLEAN,
    CAT_FITS_UNSURE
} cat_fits_kind;

/* A name of a field with what it leads to, or a text of an enum. The text is a string of Lua's. */
typedef struct {
    const char *text; /* NULL: the slot is free */
    size_t length;
    uint32_t node;
    uint32_t need; /* 0: it may be missing; else one more than its number among those needed */
} cat_fits_word;

/* What fits a value. Slots are a hash table, of a size that is a power of two. */
typedef struct {
    cat_fits_kind kind;
    bool is_open;     /* an object may have other fields, which `others` fits */
    bool has_words;   /* a string is one of the words */
    bool has_range;   /* of a number */
    bool has_length;  /* of a string, in characters */
    char format;      /* of a string: 't' a date and time, 'd' a date, 0 none */
    const char *sets; /* of a string: those of csrc/pattern.h, or NULL; a string of Lua's */
    size_t sets_length;
    bool sets_are_open; /* anything may follow them */
    uint32_t others;    /* a node: that of the values of other fields, or of the elements */
    unsigned needed;    /* how many fields an object needs */
    size_t slots, mask; /* the first slot, and their number less one */
    double least, most;
    size_t shortest, longest;
} cat_fits_node;

typedef struct {
    _Alignas(cat_fits_node) size_t node_count; /* nodes lie behind it, and words behind those */
    cat_fits_node *nodes;
    cat_fits_word *words;
} cat_fits;

/* The word of a node with a text, or the free slot where it would be. */
cat_fits_word *cat_fits_slot(const cat_fits *s, const cat_fits_node *n, const char *text,
                             size_t length);

/* Whether the bytes are one JSON object on one line that surely fits the first of the nodes. */
bool cat_fits_line(const cat_fits *s, const char *text, size_t length);

#endif
