/*
 * cli/map.h - the pictures that `loft map` draws.
 */
#ifndef LOFTI_CLI_MAP_H
#define LOFTI_CLI_MAP_H

#include "grid.h"

typedef struct lofti_picture {
    const char *path;
    lofti_survey survey;
    int by; /* enum lofti_grid_by */
    bool colour;
    unsigned columns, rows; /* of the terminal */
} lofti_picture;

/* Each returns an exit code, after a sentence if it is not 0. */
int lofti_picture_terminal(const lofti_picture *map);
int lofti_picture_svg(const lofti_picture *map, FILE *out);
int lofti_picture_html(const lofti_picture *map, FILE *out);
int lofti_picture_json(const lofti_picture *map);

/* The page that map.html, map.css and the scripts make, up to where the data go, and behind it; made at build. */
extern const unsigned char lofti_picture_page[];
extern const size_t lofti_picture_page_bytes;
extern const size_t lofti_picture_page_data; /* where the data go */

#endif /* LOFTI_CLI_MAP_H */
