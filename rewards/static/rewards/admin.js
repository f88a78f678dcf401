// Make the mouse-only parts of the theme usable with the keyboard and with screen readers.

document.addEventListener("DOMContentLoaded", () => {
    for (const icon of document.querySelectorAll(".material-symbols-outlined")) {
        if (icon.hasAttribute("x-on:click")) {
            icon.setAttribute("aria-label", "Menu");
        } else {
            // The text of an icon is its name, which a screen reader would read out.
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
