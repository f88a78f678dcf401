// What the theme makes for the mouse alone, made for the keyboard and for screen readers too.

document.addEventListener("DOMContentLoaded", () => {
    for (const icon of document.querySelectorAll(".material-symbols-outlined")) {
        if (icon.hasAttribute("x-on:click")) {
            icon.setAttribute("aria-label", "Menu");
        } else {
            // An icon is written as its name, which nobody wants to hear.
            icon.setAttribute("aria-hidden", "true");
        }
    }

    const clickable = document.querySelectorAll("[x-on\\:click]:not(a[href], button, input)");
    for (const element of clickable) {
        if (element.id === "changelist-filter-close") {
            continue; // the backdrop; the escape key does the same
        }
        element.tabIndex = 0;
        element.setAttribute("role", "button");
        element.addEventListener("keydown", (event) => {
            if (event.target === element && ["Enter", " "].includes(event.key)) {
                event.preventDefault();
                element.click();
            }
        });
    }
});
